"""Who somebody is: accounts, sign-in, and the tokens that every service can check."""
