"""Programs to take and change; tested, and no part of the package."""
