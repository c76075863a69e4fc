"""What somebody has typed and not sent yet, kept on the server: it is there again after the time-out lock."""
