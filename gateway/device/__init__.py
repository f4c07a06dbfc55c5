"""The part that runs on the board: acquire, batch, keep, publish."""
