"""What ``submit`` does with files: plan the calls, make them, count the answers, give the caller's own file back."""
