# Keeps the readings that can be true, and writes the others to the file named by `rejected`.
BEGIN { FS = ","; OFS = ","; printf "" > rejected }
NR == 1 { print; next }
$3 !~ /^[0-9]+\.[0-9]$/ { print $0, "not a number" > rejected; next }
$3 + 0 > 60 { print $0, "too hot to be true" > rejected; next }
{ print }
