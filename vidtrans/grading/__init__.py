"""Grades: smooth maps from colour to colour, learned from pictures before and after.

``pairs`` brings pictures in step and takes samples of their colours, ``transfer`` matches the colours of pictures that
show different things, ``operators`` and ``fitting`` turn samples into a map, ``words`` says what it does, ``cube``
writes it for other programs.
"""
