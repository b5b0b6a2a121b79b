"""What it costs and why: the engine, drafts and publication of price books, and the channels that read them."""
