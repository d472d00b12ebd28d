"""The program `personlab`: one small file a command family."""
