"""From integers to text: what each state emits, as columns of bytes."""
