"""Finished runs on the Hub."""
