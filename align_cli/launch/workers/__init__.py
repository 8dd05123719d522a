"""The workers of one machine: started, listened to, stopped, and what went wrong with one of them in words."""
