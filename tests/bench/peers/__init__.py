"""What Headwater is measured beside; all but `playback` runs in an environment of its own, made by `peering`."""
