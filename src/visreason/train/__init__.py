"""Training: one loop for every objective. `settings` is light; everything else loads torch."""
