"""What we learn per object: signed distance and colour fields, and analytic shapes as the tests' truth."""
