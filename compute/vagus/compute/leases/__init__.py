"""GPUs rented by the hour: what a network's provisioner is, and how vagus keeps its leases."""
