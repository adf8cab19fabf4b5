"""The logs of two nodes beside each other: what one was cosigned for, the other has; what answers, has a cause."""
