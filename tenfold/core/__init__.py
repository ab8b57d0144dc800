"""What everything else stands on: errors, files, random numbers, devices."""
