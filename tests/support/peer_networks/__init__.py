"""Other tools' generators, written anew for tests: their keys, their shapes and their forward passes.

Importers are compared with these networks and share no code with them. Each module names the paper that it follows.
"""
