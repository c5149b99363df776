"""Tables of other tools' networks: the names, shapes and random values of their tensors, written from their papers.

What the networks compute is in ``peer_outputs.json``: a few values of one output of each variant. They were computed in
fp64 by networks that were written anew from the papers and share no code with vidtrans.
"""
