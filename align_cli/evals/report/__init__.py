"""What answers and judgments come to."""
