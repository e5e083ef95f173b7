"""HTTP in, neighbours out: one generation a request, problem+json for every fault, a page at /."""
