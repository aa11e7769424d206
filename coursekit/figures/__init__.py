"""Things to touch in a notebook. Nothing else imports this room."""
