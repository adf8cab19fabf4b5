package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// checkReceipt checks a C2SP tlog-proof whose extra line carries the entry.
func checkReceipt(path string, known *policy) int {
	data, err := os.ReadFile(path)
	if err != nil {
		usage(err)
	}
	refuted := func(why string) int {
		fmt.Println("REFUTED", path, why)
		return 1
	}
	parts := strings.SplitN(string(data), "\n\n", 2)
	if len(parts) != 2 {
		return refuted("no empty line before the checkpoint")
	}
	lines := strings.Split(parts[0], "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" {
		return refuted("not a tlog-proof")
	}
	var extra []byte
	index := int64(-1)
	var proof tlog.RecordProof
	for _, line := range lines[1:] {
		switch {
		case strings.HasPrefix(line, "extra "):
			if extra, err = base64.StdEncoding.DecodeString(line[6:]); err != nil {
				return refuted("the extra line")
			}
		case strings.HasPrefix(line, "index "):
			if index, err = strconv.ParseInt(line[6:], 10, 64); err != nil {
				return refuted("the index line")
			}
		default:
			raw, err := base64.StdEncoding.DecodeString(line)
			if err != nil || len(raw) != hashSize {
				return refuted("a hash of the path")
			}
			var one tlog.Hash
			copy(one[:], raw)
			proof = append(proof, one)
		}
	}
	if extra == nil || index < 0 {
		fmt.Println("NOT_PROVABLE", path, "the receipt does not carry its entry")
		return 3
	}
	head, err := readCheckpoint([]byte(parts[1]), known)
	if err != nil {
		return refuted(err.Error())
	}
	if !head.signed || !head.quorate {
		return refuted("the checkpoint is not signed and cosigned as the policy asks")
	}
	if err := tlog.CheckRecord(proof, head.size, tlog.Hash(head.root), index, tlog.RecordHash(extra)); err != nil {
		return refuted(err.Error())
	}
	fmt.Printf("PROVEN %s: entry %d of %s, held by the other side at %s\n", path, index, head.origin, head.at.Format("2006-01-02T15:04:05Z"))
	return 0
}
