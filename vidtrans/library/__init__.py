"""Frames in, frames out: clips, models and filters for programs that have pictures, not files.

``vidtrans`` re-exports what is public here. Pictures are numpy arrays or torch tensors, (H, W, 3) RGB, uint8 or uint16,
upright and full range; results are of the same kind. Mistakes raise the errors of ``vidtrans.core.errors``.
"""
