package probebook

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOneByOne_AnISVThatAnswersIsCalledInOrder(t *testing.T) {
	t.Parallel()
	var order []int // without a lock: the race detector sees it if two run at the same time
	results, err := oneByOne(5, func(i int) (Result, error) {
		order = append(order, i)
		return Result{CallID: int64(i), Problems: []string{"refused"}}, nil
	})
	require.NoError(t, err)
	assert.Equal(t, []int{0, 1, 2, 3, 4}, order)
	for i, r := range results {
		assert.Equal(t, int64(i), r.CallID)
	}
}

// The cases after one that hung wait for each other here: one after the other, they would never end.
func TestOneByOne_AnISVThatHangsIsWaitedForTwice(t *testing.T) {
	t.Parallel()
	const before, hangs, n = 2, 2, 8
	var together sync.WaitGroup
	together.Add(n - hangs - 1)
	results, err := oneByOne(n, func(i int) (Result, error) {
		if i > before {
			together.Done()
			together.Wait()
		}
		return Result{CallID: int64(i), hung: i >= hangs}, nil
	})
	require.NoError(t, err)
	require.Len(t, results, n)
	for i, r := range results {
		assert.Equal(t, int64(i), r.CallID)
	}
}

func TestOneByOne_AMistakeOfOursEndsIt(t *testing.T) {
	t.Parallel()
	ours := errors.New("the disk is full")
	called := 0
	results, err := oneByOne(5, func(i int) (Result, error) {
		called++
		if i == 2 {
			return Result{}, ours
		}
		return Result{}, nil
	})
	require.ErrorIs(t, err, ours)
	assert.Len(t, results, 2)
	assert.Equal(t, 3, called)
	_, err = oneByOne(5, func(i int) (Result, error) {
		if i == 4 {
			return Result{}, ours
		}
		return Result{hung: true}, nil
	})
	assert.ErrorIs(t, err, ours, "of those that are done side by side too")
}
