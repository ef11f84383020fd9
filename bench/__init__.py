"""How fast and how exact the package is, beside others and beside what the machine allows."""
