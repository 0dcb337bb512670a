"""The executables: each module constructs one node and wires it."""
