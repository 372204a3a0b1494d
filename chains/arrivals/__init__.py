"""When chains begin: an open workload at a rate, or the closed workload of some users."""
