"""The arena's web app: people vote, blind, on what models say."""
