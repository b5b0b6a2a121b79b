"""Microsoft's AdventureWorks sample (MIT), converted, priced and compared with what its seller charged."""
