"""The parts of `kol demo`."""
