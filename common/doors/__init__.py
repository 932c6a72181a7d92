"""What enters a library call: numbers, sizes, images and labels, checked in one place each."""
