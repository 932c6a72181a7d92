"""The scripts on Fashion-MNIST."""
