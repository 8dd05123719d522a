"""The command line: words in, typed values to the renderer, exit codes out."""
