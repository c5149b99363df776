"""Tables of other tools' networks: the names, shapes and random values of their tensors, written from their papers.

What the networks compute is in ``peer_outputs.json``: 16 values of one output of each variant, computed in fp64 by
networks that share no code with vidtrans. They were written anew from the papers too, and stand in the history of this
folder, for whoever adds a variant.
"""
