"""What commands print: text, tables, trees, panels and progress bars."""
