"""What `align train TASK` does, one file a task; what tasks share lies beside them."""
