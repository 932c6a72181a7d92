"""What more than one test file needs: commands in this process and in others, what runs left."""
