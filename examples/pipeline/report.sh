#!/bin/sh
# Writes report.md (a table of the sensors) and metrics.txt (a line a figure) into the folder
# given last, from the clean readings and the rejected ones.
set -eu
LC_ALL=C
export LC_ALL
clean=$1 rejected=$2 folder=$3

by_sensor() {
  awk -F, 'NR > 1 {
    count[$2]++; sum[$2] += $3
    if (!($2 in low) || $3 + 0 < low[$2]) low[$2] = $3 + 0
    if (!($2 in high) || $3 + 0 > high[$2]) high[$2] = $3 + 0
  }
  END {
    for (sensor in count)
      printf "| %s | %d | %.1f | %.1f | %.1f |\n", sensor, count[sensor], low[sensor],
        sum[sensor] / count[sensor], high[sensor]
  }' "$clean" | sort
}

kept=$(($(wc -l < "$clean") - 1))
dropped=$(($(wc -l < "$rejected")))

{
  echo '# Temperatures'
  echo
  echo "$kept readings, $dropped rejected."
  echo
  echo '| sensor | readings | lowest | mean | highest |'
  echo '|---|---|---|---|---|'
  by_sensor
} > "$folder/report.md"

{
  echo "readings_kept $kept"
  echo "readings_rejected $dropped"
  echo "sensors $(by_sensor | wc -l | tr -d ' ')"
} > "$folder/metrics.txt"
