"""What is kept between runs: the cache, its stages and chunks, and the disk they need."""
