"""People compare the answers of models, two at a time and blind; what their votes come to."""
