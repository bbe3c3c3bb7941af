"""What a branch changes in the numbers: its tables compared with the lake's, both at a snapshot."""
