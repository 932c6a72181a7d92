"""What is asked of layers and networks beside training: do they fit together, do they align."""
