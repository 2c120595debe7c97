"""Drawing: which bits a parameter is made of. NumPy is imported here and below, nowhere upstream."""
