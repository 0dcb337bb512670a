"""What a person would try when there is no picture, tried by a program."""
