"""The Python interface: clips, models and filters for programs that work with frames instead of files.

``vidtrans`` re-exports the public names. Pictures are numpy arrays or torch tensors, (H, W, 3) RGB, uint8 or uint16,
upright and full range; results have the type of the input. Invalid arguments raise the errors of
``vidtrans.core.errors``.
"""
