"""Training steps on a GPU: upload of batches, CUDA graphs, deterministic algorithms."""
