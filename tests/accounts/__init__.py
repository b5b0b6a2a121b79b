"""What the accounts room promises."""
