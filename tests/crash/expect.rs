//! What is expected of each place at which the service may die.
