"""What enters the rules by their public doors: labels, images, numbers, settings, files."""
