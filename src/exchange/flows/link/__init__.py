"""Two nodes and what passes between them: hello, deliver and mirror, witness, recover."""
