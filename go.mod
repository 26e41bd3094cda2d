module github.com/isvkit/isvkit

go 1.26
