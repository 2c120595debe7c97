"""Pictures of weights: histograms and what the spec promises, std by layer, sizes; as a figure or an HTML report."""
