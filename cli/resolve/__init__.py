"""From options to objects: models, data, devices, profiles."""
